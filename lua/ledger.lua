-- ledger.lua: packed forms, included by the scripts that read or write them.
--
-- A ledger entry (hash `resv`, field: 16 bytes of order id, or adj:<id>):
--   quantity u32, price u48, epoch u48, reserved_at u48 (ms), pay_by u48 (ms),
--   seq u48, key digest 16 bytes, body digest 16 bytes, user, variant (each
--   with its length in one byte). Big endian.
-- A user's entry (hash `user`, field: user id):
--   units reserved or owned u32, then for each Idempotency-Key used its key
--   digest, body digest and order id, 16 bytes each.

local function pack_entry(e)
    return struct.pack('>I4I6I6I6I6I6c16c16Bc0Bc0', e.quantity, e.price,
        e.epoch, e.reserved_at, e.pay_by, e.seq, e.key_digest, e.body_digest,
        #e.user, e.user, #e.variant, e.variant)
end

local function unpack_entry(packed)
    local e = {}
    e.quantity, e.price, e.epoch, e.reserved_at, e.pay_by, e.seq,
        e.key_digest, e.body_digest, e.user, e.variant =
        struct.unpack('>I4I6I6I6I6I6c16c16Bc0Bc0', packed)
    return e
end

local function user_units(packed)
    if not packed then
        return 0
    end
    return (struct.unpack('>I4', packed))
end

local function user_with_units(packed, units)
    return struct.pack('>I4', units) .. string.sub(packed, 5)
end

-- Lua's tostring() would write a large integer as 1.7e+12.
local function integer(n)
    return string.format('%.0f', n)
end
