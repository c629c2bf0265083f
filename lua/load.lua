#!lua
-- load.lua: the last step of a rebuild: puts the staged ledger in place.
--
-- KEYS  loaded, gate, stock, resv, user, pend, log, adj, stage:resv,
--       stage:user, stage:log
-- ARGV  token, run_id, nonce (of this rebuild's fence), epoch, seq_base,
--       entries staged, users staged, then variant, units left, …
-- Returns DONE, SUPERSEDED (a younger leader, or a younger fence of our own),
--   or INCOMPLETE (what was staged is not all there: start over).

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'nonce', 'epoch')
if l[2] ~= ARGV[2] or l[4] then
    return 'SUPERSEDED'
end
--@ifndef SPEEDY_BUG_NO_FENCING_TOKEN
if l[1] ~= ARGV[1] then
    return 'SUPERSEDED'
end
--@endif
--@ifndef SPEEDY_BUG_NO_NONCE
if l[3] ~= ARGV[3] then
    return 'SUPERSEDED'
end
--@endif
if redis.call('HLEN', KEYS[9]) ~= tonumber(ARGV[6])
    or redis.call('LLEN', KEYS[11]) ~= tonumber(ARGV[6])
    or redis.call('HLEN', KEYS[10]) ~= tonumber(ARGV[7]) then
    return 'INCOMPLETE'
end
local staged = {}
for i = 9, 11 do
    staged[i] = redis.call('EXISTS', KEYS[i]) == 1
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7],
    KEYS[8])
local target = {[9] = KEYS[4], [10] = KEYS[5], [11] = KEYS[7]}
for i = 9, 11 do
    if staged[i] then
        redis.call('RENAME', KEYS[i], target[i])
        redis.call('PERSIST', target[i])
    end
end
redis.call('HSET', KEYS[3], unpack(ARGV, 8))
redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'seq_base', ARGV[5])
return 'DONE'
