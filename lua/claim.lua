#!lua flags=allow-oom
-- claim.lua: a new leader writes its token over its predecessor's.
--
-- KEYS  loaded
-- ARGV  token, run_id
-- Returns DONE, NOT_LOADED (no ledger of this Redis: a rebuild is needed), or
--   SUPERSEDED (a younger leader was here).

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'epoch')
if l[1] and tonumber(l[1]) > tonumber(ARGV[1]) then
    return 'SUPERSEDED'
end
if l[2] ~= ARGV[2] then
    return 'NOT_LOADED'
end
redis.call('HSET', KEYS[1], 'token', ARGV[1])
return 'DONE'
