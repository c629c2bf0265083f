#!lua
-- release.lua: gives units of ended orders back to the stock.
--
-- KEYS  loaded, stock, resv, user, pend
-- ARGV  token, run_id, then for each order: order id (16 bytes), target
--       (units still to be kept in the ledger), epoch at the row's commit
-- Returns an array with one word an order: DONE, NOT_LOADED (the ledger is
--   being rebuilt: ask again), or SUPERSEDED for all (a younger leader lives).
-- It lowers an entry to its target and never raises it: twice is once.

--@include ledger.lua

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'epoch')
local answers = {}
--@ifndef SPEEDY_BUG_NO_FENCING_TOKEN
local superseded = l[1] and tonumber(l[1]) > tonumber(ARGV[1])
--@else
local superseded = false
--@endif
local loaded = l[2] == ARGV[2] and l[3]

local function release(order_id, target, epoch)
    if superseded then
        return 'SUPERSEDED'
    end
--@ifndef SPEEDY_BUG_RELEASE_NOT_LOADED
    if not loaded or tonumber(loaded) < epoch then
        return 'NOT_LOADED'
    end
--@endif
    local packed = redis.call('HGET', KEYS[3], order_id)
    if not packed then
        return 'DONE'
    end
    local e = unpack_entry(packed)
    local back = e.quantity - target
--@ifndef SPEEDY_BUG_RELEASE_RAISES
    if back <= 0 then
        return 'DONE'
    end
--@endif
    local left = tonumber(redis.call('HGET', KEYS[2], e.variant))
    local mine = redis.call('HGET', KEYS[4], e.user)
    local t = redis.call('TIME')
    if not left then
        return 'NOT_LOADED'
    end
    redis.call('HINCRBY', KEYS[2], e.variant, back)
    if left <= 0 then
        redis.call('HSET', KEYS[2], 'cool:' .. e.variant,
            integer(t[1] * 1000 + math.floor(t[2] / 1000)))
    end
    if mine then
        redis.call('HSET', KEYS[4], e.user,
            user_with_units(mine, math.max(user_units(mine) - back, 0)))
    end
    if target == 0 then
        redis.call('HDEL', KEYS[3], order_id)
        redis.call('HDEL', KEYS[5], order_id)
    else
        e.quantity = target
        redis.call('HSET', KEYS[3], order_id, pack_entry(e))
    end
    return 'DONE'
end

for i = 3, #ARGV, 3 do
    answers[#answers + 1] = release(ARGV[i], tonumber(ARGV[i + 1]),
        tonumber(ARGV[i + 2]))
end
return answers
