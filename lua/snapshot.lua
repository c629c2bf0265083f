#!lua flags=allow-oom,no-writes
-- snapshot.lua: one sale's sums at one instant, for the auditor.
--
-- KEYS  loaded, gate, stock, resv, user, pend
-- ARGV  run_id
-- Returns {loaded epoch | '', gate epoch | '' (gate of this Redis only),
--   variants (array of variant, left, units in the ledger), entries in the
--   ledger, entries in pend, of those without a ledger entry, users whose
--   units differ from the sum of their ledger entries}.
-- It reads the whole ledger: about 1 s for a million orders, during which
-- Redis serves nobody else. Not for the hours of a sale.

--@include ledger.lua

local l = redis.call('HMGET', KEYS[1], 'run_id', 'epoch')
local g = redis.call('HMGET', KEYS[2], 'run_id', 'epoch')
local sums, units, entries = {}, {}, 0
local all = redis.call('HGETALL', KEYS[4])
local known = {}
for i = 1, #all, 2 do
    local e = unpack_entry(all[i + 1])
    known[all[i]] = true
    entries = entries + 1
    sums[e.variant] = (sums[e.variant] or 0) + e.quantity
    if e.user ~= '' then
        units[e.user] = (units[e.user] or 0) + e.quantity
    end
end
local variants = {}
local s = redis.call('HGETALL', KEYS[3])
for i = 1, #s, 2 do
    if string.sub(s[i], 1, 5) ~= 'cool:' then
        variants[#variants + 1] = s[i]
        variants[#variants + 1] = s[i + 1]
        variants[#variants + 1] = integer(sums[s[i]] or 0)
    end
end
local pend, orphans = 0, 0
for _, id in ipairs(redis.call('HKEYS', KEYS[6])) do
    pend = pend + 1
    if not known[id] then
        orphans = orphans + 1
    end
end
local differ = 0
all = redis.call('HGETALL', KEYS[5])
for i = 1, #all, 2 do
    if user_units(all[i + 1]) ~= (units[all[i]] or 0) then
        differ = differ + 1
    end
    units[all[i]] = nil
end
for _ in pairs(units) do
    differ = differ + 1
end
return {l[1] == ARGV[1] and l[2] or '', g[1] == ARGV[1] and g[2] or '',
    variants, entries, pend, orphans, differ}
