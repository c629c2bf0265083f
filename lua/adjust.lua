#!lua
-- adjust.lua: changes the stock of one variant by an adjustment of MySQL.
--
-- KEYS  loaded, stock, resv, adj
-- ARGV  token, run_id, operation, adjustment id, variant, units, epoch (of
--       the adjustment's row)
-- Operations and what they return:
--   raise  adds the units once           DONE (now or before, or counted by a
--                                        rebuild of a later epoch)
--   take   moves units out of the stock into a ledger entry adj:<id>
--                                        DONE, or SHORT left
--   drop   forgets that entry after MySQL lowered the total      DONE
--   untake gives that entry's units back, and refuses a take of the same
--          adjustment that lands later                           DONE
-- and for all: NOT_LOADED (ask again; a take: its intent is void when the
-- epoch has moved on), SUPERSEDED.

--@include ledger.lua

local token, run_id, operation = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local id, variant, units = ARGV[4], ARGV[5], tonumber(ARGV[6])
local epoch = tonumber(ARGV[7])
local entry = 'adj:' .. id

local l = redis.call('HMGET', KEYS[1], 'token', 'run_id', 'epoch')
--@ifndef SPEEDY_BUG_NO_FENCING_TOKEN
if l[1] and tonumber(l[1]) > token then
    return {'SUPERSEDED'}
end
--@endif
local loaded = l[2] == run_id and tonumber(l[3] or '-1') or -1
if loaded < epoch then
    return {'NOT_LOADED'}
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local left = tonumber(redis.call('HGET', KEYS[2], variant) or '')
local state = redis.call('HGET', KEYS[4], id)

local function give(n)
    redis.call('HINCRBY', KEYS[2], variant, n)
    if (left or 0) <= 0 then
        redis.call('HSET', KEYS[2], 'cool:' .. variant, integer(now))
    end
end

if operation == 'raise' then
    if loaded == epoch and not state then
        redis.call('HSET', KEYS[4], id, 'raised')
        give(units)
    end
    return {'DONE'}
end
if operation == 'take' then
    if loaded ~= epoch then
        return {'NOT_LOADED'}
    end
    if state then
        return {state == 'taken' and 'DONE' or 'NOT_LOADED'}
    end
    if not left or left < units then
        return {'SHORT', integer(left or 0)}
    end
    redis.call('HINCRBY', KEYS[2], variant, -units)
    redis.call('HSET', KEYS[3], entry, pack_entry({quantity = units,
        price = 0, epoch = epoch, reserved_at = now, pay_by = 0, seq = 0,
        key_digest = string.rep('\0', 16), body_digest = string.rep('\0', 16),
        user = '', variant = variant}))
    redis.call('HSET', KEYS[4], id, 'taken')
    return {'DONE'}
end
if operation == 'drop' or operation == 'untake' then
    local packed = redis.call('HGET', KEYS[3], entry)
    redis.call('HSET', KEYS[4], id, operation)
    if packed then
        redis.call('HDEL', KEYS[3], entry)
        if operation == 'untake' then
            give(unpack_entry(packed).quantity)
        end
    end
    return {'DONE'}
end
return redis.error_reply('SPEEDY unknown operation')
