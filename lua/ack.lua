#!lua flags=allow-oom
-- ack.lua: the fence between "in Kafka" and "accepted".
--
-- KEYS  gate, pend
-- ARGV  run_id, then for each order: epoch of its event, order id (16 bytes)
-- Returns an array of 1 (accepted: it left `pend`) or 0 (the gate is gone, of
-- another Redis, or of another epoch: the client is told `in_doubt`), one an
-- order. Safe to send again.

local g = redis.call('HMGET', KEYS[1], 'run_id', 'epoch')
local answers = {}
for i = 2, #ARGV, 2 do
--@ifndef SPEEDY_BUG_ACK_WITHOUT_GATE
    if g[1] == ARGV[1] and g[2] == ARGV[i] then
--@else
    if true then
--@endif
        redis.call('HDEL', KEYS[2], ARGV[i + 1])
        answers[#answers + 1] = 1
    else
        answers[#answers + 1] = 0
    end
end
return answers
