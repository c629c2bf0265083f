#!lua flags=allow-oom
-- archive.lua: removes the keys of a sale that MySQL has archived.
--
-- KEYS  loaded, gate, stock, resv, user, pend, log, adj
-- ARGV  token, run_id
-- Returns DONE, PENDING (pend is not empty: nothing was removed), or
--   SUPERSEDED. Safe to send again.

local token = redis.call('HGET', KEYS[1], 'token')
if token and tonumber(token) > tonumber(ARGV[1]) then
    return 'SUPERSEDED'
end
if redis.call('EXISTS', KEYS[6]) == 1 then
    return 'PENDING'
end
redis.call('UNLINK', unpack(KEYS))
return 'DONE'
