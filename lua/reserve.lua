#!lua
-- reserve.lua: checks and takes stock for one order in one step.
--
-- KEYS  gate, stock, resv, user, pend, log            (of one sale)
-- ARGV  run_id (read on this connection), order id (16 bytes), user, variant,
--       quantity, key digest (16), body digest (16)
-- Returns an array, its first element a code:
--   FENCED                                 gate absent, or of another Redis
--   PENDING | REPLAY  order, quantity, price, reserved_at, pay_by, epoch, seq
--                                          this key's order; PENDING: not yet
--                                          known to be in Kafka
--   ENDED   order                          this key's order is over
--   KEY_REUSED                             same key, other body
--   NO_VARIANT
--   NOT_OPEN  now, opens_at, arrivals      ms; arrivals: length of `log`
--   PAUSED | CLOSED
--   LIMIT   limit, units, order | ''       a live order of this user
--   SOLD_OUT  left, unpaid holds           fewer left than asked
--   COOLING                                units came back a moment ago
--   RESERVED  seq, price, reserved_at, pay_by, epoch, left
-- All checks come before the first write. Four reads, five writes: one more
-- is a regression of the hot path.

--@include ledger.lua

local run_id, order_id, user, variant = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local quantity, key_digest, body_digest = tonumber(ARGV[5]), ARGV[6], ARGV[7]

local g = redis.call('HMGET', KEYS[1], 'run_id', 'state', 'opens_at',
    'closes_at', 'limit', 'hold_ms', 'seq_base', 'epoch', 'price:' .. variant,
    'held:' .. variant)
if g[1] ~= run_id then
    return {'FENCED'}
end

--@ifndef SPEEDY_BUG_REPLAY_AFTER_SOLD_OUT
local mine = redis.call('HGET', KEYS[4], user)
if mine then
    for at = 5, #mine, 48 do
        if string.sub(mine, at, at + 15) == key_digest then
            if string.sub(mine, at + 16, at + 31) ~= body_digest then
                return {'KEY_REUSED'}
            end
            local known = string.sub(mine, at + 32, at + 47)
            local packed = redis.call('HGET', KEYS[3], known)
            if not packed then
                return {'ENDED', known}
            end
            local e = unpack_entry(packed)
            local code = 'REPLAY'
            if redis.call('HEXISTS', KEYS[5], known) == 1 then
                code = 'PENDING'
            end
            return {code, known, integer(e.quantity), integer(e.price),
                integer(e.reserved_at), integer(e.pay_by), integer(e.epoch),
                integer(e.seq)}
        end
    end
end
--@else
local mine = redis.call('HGET', KEYS[4], user)
--@endif

if not g[9] then
    return {'NO_VARIANT'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if now < tonumber(g[3]) then
    return {'NOT_OPEN', integer(now), g[3], redis.call('LLEN', KEYS[6])}
end
if g[2] == 'PAUSED' then
    return {'PAUSED'}
end
local closes_at = tonumber(g[4])
if g[2] ~= 'ACTIVE' or (closes_at > 0 and now >= closes_at) then
    return {'CLOSED'}
end

local limit, units = tonumber(g[5]), user_units(mine)
--@ifndef SPEEDY_BUG_NO_LIMIT
if units + quantity > limit then
    local live = ''
    for at = 5, mine and #mine or 0, 48 do
        local known = string.sub(mine, at + 32, at + 47)
        if redis.call('HEXISTS', KEYS[3], known) == 1 then
            live = known
        end
    end
    return {'LIMIT', integer(limit), integer(units), live}
end
--@endif

local s = redis.call('HMGET', KEYS[2], variant, 'cool:' .. variant)
local left, cool = tonumber(s[1]), tonumber(s[2])
if not left then
    return redis.error_reply('SPEEDY stock of a variant is missing')
end
if left < quantity then
    return {'SOLD_OUT', integer(left), g[10] or '0'}
end
--@ifndef SPEEDY_BUG_NO_COOL_DOWN
if cool and now >= cool and now - cool < 300 then
    return {'COOLING'}
end
--@endif

local pay_by = now + tonumber(g[6])
local price, epoch = tonumber(g[9]), tonumber(g[8])
mine = (mine and user_with_units(mine, units + quantity)
    or struct.pack('>I4', quantity)) .. key_digest .. body_digest .. order_id
left = redis.call('HINCRBY', KEYS[2], variant, -quantity)
local seq = redis.call('RPUSH', KEYS[6], user) + tonumber(g[7])
redis.call('HSET', KEYS[3], order_id, pack_entry({quantity = quantity,
    price = price, epoch = epoch, reserved_at = now, pay_by = pay_by,
    seq = seq, key_digest = key_digest, body_digest = body_digest,
    user = user, variant = variant}))
redis.call('HSET', KEYS[4], user, mine)
redis.call('HSET', KEYS[5], order_id, integer(now))
return {'RESERVED', integer(seq), g[9], integer(now), integer(pay_by), g[8],
    left}
