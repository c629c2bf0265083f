#!lua
-- stage.lua: one chunk of a rebuild's snapshot into staging keys, which carry
-- the fence's nonce in their names and end by themselves.
--
-- KEYS  stage:resv, stage:user, stage:log
-- ARGV  time to live (ms), then for each order, in order of seq: order id
--       (16 bytes), user, variant, units kept (0: only its key is kept),
--       price, epoch, reserved_at, pay_by, seq, key digest (16), body digest
--       (16)
-- Returns the number of ledger entries staged so far. A chunk whose outcome
-- is unknown must not be sent again: start over with a new fence.

--@include ledger.lua

for i = 2, #ARGV, 11 do
    local e = {quantity = tonumber(ARGV[i + 3]), user = ARGV[i + 1],
        variant = ARGV[i + 2], price = tonumber(ARGV[i + 4]),
        epoch = tonumber(ARGV[i + 5]), reserved_at = tonumber(ARGV[i + 6]),
        pay_by = tonumber(ARGV[i + 7]), seq = tonumber(ARGV[i + 8]),
        key_digest = ARGV[i + 9], body_digest = ARGV[i + 10]}
    local mine = redis.call('HGET', KEYS[2], e.user)
    mine = user_with_units(mine or '\0\0\0\0', user_units(mine) + e.quantity)
    redis.call('HSET', KEYS[2], e.user,
        mine .. e.key_digest .. e.body_digest .. ARGV[i])
    if e.quantity > 0 then
        redis.call('HSET', KEYS[1], ARGV[i], pack_entry(e))
        redis.call('RPUSH', KEYS[3], e.user)
    end
end
for i = 1, 3 do
    redis.call('PEXPIRE', KEYS[i], ARGV[1])
end
return redis.call('HLEN', KEYS[1])
