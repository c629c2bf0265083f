#!lua flags=allow-oom
-- renew.lua: extends the gate; it never opens what is not loaded.
--
-- KEYS  loaded, gate, stock
-- ARGV  token, run_id, epoch (MySQL's), time to live (ms), then the gate's
--       fields and values (state, opens_at, closes_at, limit, hold_ms,
--       notice, price:<variant>, held:<variant>)
-- Returns DONE, NOT_LOADED (a rebuild is needed), or SUPERSEDED.

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'epoch', 'seq_base')
--@ifndef SPEEDY_BUG_NO_FENCING_TOKEN
if l[1] and tonumber(l[1]) > tonumber(ARGV[1]) then
    return 'SUPERSEDED'
end
--@endif
--@ifndef SPEEDY_BUG_RENEW_NOT_LOADED
if l[2] ~= ARGV[2] or l[3] ~= ARGV[3]
    or redis.call('EXISTS', KEYS[3]) == 0 then
    return 'NOT_LOADED'
end
--@endif
if l[1] ~= ARGV[1] then
    redis.call('HSET', KEYS[1], 'token', ARGV[1])
end
redis.call('HSET', KEYS[2], 'run_id', ARGV[2], 'epoch', ARGV[3], 'seq_base',
    l[4] or '0', unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 'DONE'
