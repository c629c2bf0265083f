#!lua
-- sweep.lua: the ledger side of the outbox `pend`.
--
-- KEYS  loaded, resv, pend
-- ARGV  token, run_id, operation, order ids (16 bytes each)
-- Operations:
--   read    returns for each id the array {user, variant, quantity, price,
--           epoch, reserved_at, pay_by, seq, key digest, body digest}; an
--           empty array for an id without a ledger entry, which leaves pend
--   repend  puts ids that are in the ledger back into pend; returns for each
--           1 (put back, or still there) or 0 (no ledger entry)
-- or, for the whole call, the word NOT_LOADED or SUPERSEDED.

--@include ledger.lua

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'epoch')
if l[1] and tonumber(l[1]) > tonumber(ARGV[1]) then
    return 'SUPERSEDED'
end
if l[2] ~= ARGV[2] or not l[3] then
    return 'NOT_LOADED'
end
local t = redis.call('TIME')
local now = integer(t[1] * 1000 + math.floor(t[2] / 1000))
local answers = {}
for i = 4, #ARGV do
    local packed = redis.call('HGET', KEYS[2], ARGV[i])
    local answer
    if ARGV[3] == 'repend' then
        answer = 0
        if packed then
            redis.call('HSETNX', KEYS[3], ARGV[i], now)
            answer = 1
        end
    elseif packed then
        local e = unpack_entry(packed)
        answer = {e.user, e.variant, integer(e.quantity), integer(e.price),
            integer(e.epoch), integer(e.reserved_at), integer(e.pay_by),
            integer(e.seq), e.key_digest, e.body_digest}
    else
        redis.call('HDEL', KEYS[3], ARGV[i])
        answer = {}
    end
    answers[#answers + 1] = answer
end
return answers
