#!lua flags=allow-oom,no-writes
-- probe.lua: what a gateway's shared zone needs to answer without Redis, and
--   what it shows to those who watch a sale.
--
-- KEYS  gate, stock, log
-- ARGV  run_id, first index of `log` wanted, most entries wanted
-- Returns {FENCED}, or {OPEN, epoch, now (ms), state, opens_at, closes_at,
--   length of log, variants (array of variant, left, unpaid holds, time at
--   which units last came back onto 0), page of log (array of users),
--   notice}. Indexes count from 0. A page belongs to (run_id,
--   epoch): when the epoch differs from the page before, start over.

local g = redis.call('HGETALL', KEYS[1])
local gate, held = {}, {}
for i = 1, #g, 2 do
    gate[g[i]] = g[i + 1]
end
if gate.run_id ~= ARGV[1] then
    return {'FENCED'}
end
local t = redis.call('TIME')
local variants, cool = {}, {}
local s = redis.call('HGETALL', KEYS[2])
for i = 1, #s, 2 do
    if string.sub(s[i], 1, 5) == 'cool:' then
        cool[string.sub(s[i], 6)] = s[i + 1]
    end
end
for i = 1, #s, 2 do
    if string.sub(s[i], 1, 5) ~= 'cool:' then
        local n = #variants
        variants[n + 1] = s[i]
        variants[n + 2] = s[i + 1]
        variants[n + 3] = gate['held:' .. s[i]] or '0'
        variants[n + 4] = cool[s[i]] or '0'
    end
end
local first, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local page = {}
if most > 0 then
    page = redis.call('LRANGE', KEYS[3], first, first + most - 1)
end
return {'OPEN', gate.epoch,
    string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000)), gate.state,
    gate.opens_at, gate.closes_at, redis.call('LLEN', KEYS[3]), variants, page,
    gate.notice or ''}
