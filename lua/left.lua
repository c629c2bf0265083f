#!lua flags=allow-oom,no-writes
-- left.lua: units left of a sale, for those who only look.
--
-- KEYS  gate, stock
-- ARGV  run_id
-- Returns {FENCED}, or {OPEN, epoch, variants (array of variant, left)}.

local g = redis.call('HMGET', KEYS[1], 'run_id', 'epoch')
if g[1] ~= ARGV[1] then
    return {'FENCED'}
end
local variants = {}
local s = redis.call('HGETALL', KEYS[2])
for i = 1, #s, 2 do
    if string.sub(s[i], 1, 5) ~= 'cool:' then
        variants[#variants + 1] = s[i]
        variants[#variants + 1] = s[i + 1]
    end
end
return {'OPEN', g[2], variants}
