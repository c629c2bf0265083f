#!lua flags=allow-oom,no-writes
-- lookup.lua: orders as the ledger knows them.
--
-- KEYS  gate, resv, pend
-- ARGV  run_id, order ids (16 bytes each)
-- Returns an array with, for each id, an empty array (not in this ledger) or
--   {ACCEPTED | IN_DOUBT, user, variant, quantity, price, epoch, reserved_at,
--   pay_by, seq}. ACCEPTED only when the gate stands and the order is known
--   to be in Kafka.

--@include ledger.lua

local fenced = redis.call('HGET', KEYS[1], 'run_id') ~= ARGV[1]
local found = {}
for i = 2, #ARGV do
    local packed = redis.call('HGET', KEYS[2], ARGV[i])
    local answer = {}
    if packed then
        local e = unpack_entry(packed)
        local state = 'ACCEPTED'
        if fenced or redis.call('HEXISTS', KEYS[3], ARGV[i]) == 1 then
            state = 'IN_DOUBT'
        end
        answer = {state, e.user, e.variant, integer(e.quantity),
            integer(e.price), integer(e.epoch), integer(e.reserved_at),
            integer(e.pay_by), integer(e.seq)}
    end
    found[#found + 1] = answer
end
return found
