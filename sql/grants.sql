-- Who may do what: one account a daemon, the least that its duties need.
-- Run as an administrator after every migration, on database `speedy`, by an
-- account that may grant. `reader` may look at everything and change nothing.
-- The accounts themselves (with their passwords) are made before.

GRANT SELECT ON speedy.sales TO stockd@localhost;
GRANT UPDATE (state, archived_at, version) ON speedy.sales TO stockd@localhost;
GRANT SELECT ON speedy.sale_variants TO stockd@localhost;
GRANT UPDATE (total, withheld, epoch) ON speedy.sale_variants TO stockd@localhost;
GRANT SELECT ON speedy.stock_adjustments TO stockd@localhost;
GRANT UPDATE (state, done_at) ON speedy.stock_adjustments TO stockd@localhost;
GRANT SELECT ON speedy.orders TO stockd@localhost;
GRANT SELECT, DELETE ON speedy.release_outbox TO stockd@localhost;
GRANT UPDATE (done_at) ON speedy.release_outbox TO stockd@localhost;
GRANT SELECT, INSERT, UPDATE ON speedy.leases TO stockd@localhost;
GRANT SELECT ON speedy.kafka_offsets TO stockd@localhost;

GRANT SELECT ON speedy.sales TO orderd@localhost;
GRANT SELECT ON speedy.products TO orderd@localhost;
GRANT SELECT ON speedy.sale_variants TO orderd@localhost;
GRANT UPDATE (held) ON speedy.sale_variants TO orderd@localhost;
GRANT SELECT, INSERT ON speedy.orders TO orderd@localhost;
GRANT SELECT, INSERT ON speedy.order_events TO orderd@localhost;
GRANT SELECT, INSERT, UPDATE ON speedy.kafka_offsets TO orderd@localhost;
GRANT SELECT, INSERT ON speedy.dead_letters TO orderd@localhost;
GRANT SELECT, INSERT, UPDATE ON speedy.leases TO orderd@localhost;

GRANT SELECT ON speedy.sales TO schedd@localhost;
GRANT SELECT ON speedy.sale_variants TO schedd@localhost;
GRANT UPDATE (held, withheld) ON speedy.sale_variants TO schedd@localhost;
GRANT SELECT ON speedy.orders TO schedd@localhost;
GRANT UPDATE (state, version, units_live, units_withheld, updated_at)
    ON speedy.orders TO schedd@localhost;
GRANT SELECT, INSERT ON speedy.order_events TO schedd@localhost;
GRANT INSERT ON speedy.release_outbox TO schedd@localhost;

GRANT SELECT ON speedy.* TO speedyctl@localhost;
GRANT INSERT ON speedy.products TO speedyctl@localhost;
GRANT UPDATE (name, price, description, category, options, state, search,
    version, updated_at) ON speedy.products TO speedyctl@localhost;
GRANT INSERT, DELETE ON speedy.product_images TO speedyctl@localhost;
GRANT INSERT ON speedy.sales TO speedyctl@localhost;
GRANT UPDATE (state, opens_at, closes_at, per_user_limit, hold_ms, restock,
    shipping, notice, closed_at, version) ON speedy.sales TO speedyctl@localhost;
GRANT INSERT ON speedy.sale_variants TO speedyctl@localhost;
GRANT UPDATE (price, total, withheld)
    ON speedy.sale_variants TO speedyctl@localhost;
-- sale extend-holds, sale release
GRANT UPDATE (pay_by, units_withheld) ON speedy.orders TO speedyctl@localhost;
GRANT INSERT ON speedy.release_outbox TO speedyctl@localhost;
GRANT INSERT ON speedy.stock_adjustments TO speedyctl@localhost;
GRANT INSERT ON speedy.audit_log TO speedyctl@localhost;
GRANT UPDATE (resolved_at, resolution) ON speedy.dead_letters TO speedyctl@localhost;

GRANT SELECT, INSERT ON speedy.users TO userd@localhost;
GRANT UPDATE (state, email_index, sealed_email, sealed_name, sealed_phone,
    data_key, master_key, language, password_hash, version, updated_at,
    ended_at) ON speedy.users TO userd@localhost;
GRANT SELECT, INSERT ON speedy.consents TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.addresses TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.verifications TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.verification_codes TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.verification_locks TO userd@localhost;
GRANT SELECT, INSERT ON speedy.staff TO userd@localhost;
GRANT UPDATE (role, state, password_hash, sealed_totp, totp_step, version)
    ON speedy.staff TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.sessions TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.refresh_tokens TO userd@localhost;
GRANT SELECT, INSERT, UPDATE, DELETE ON speedy.login_failures TO userd@localhost;
GRANT SELECT, INSERT, UPDATE (notify), DELETE ON speedy.wishes TO userd@localhost;
GRANT SELECT, INSERT, UPDATE (position, next_at), DELETE
    ON speedy.wish_rounds TO userd@localhost;
GRANT SELECT, INSERT ON speedy.audit_log TO userd@localhost;
GRANT SELECT, INSERT ON speedy.mails TO userd@localhost;
GRANT UPDATE (state, attempts, next_at, expires_at, ended_at)
    ON speedy.mails TO userd@localhost;
GRANT SELECT, INSERT, DELETE ON speedy.outbox TO userd@localhost;

GRANT SELECT ON speedy.mails TO maild@localhost;
GRANT UPDATE (state, attempts, next_at, claimed_by, reply_code, reply, ended_at)
    ON speedy.mails TO maild@localhost;

-- The acts of operators over HTTP: what speedyctl may do to products and
-- sales, and of the staff only who may.
GRANT SELECT, INSERT ON speedy.products TO productd@localhost;
GRANT UPDATE (name, price, description, category, options, state, search,
    version, updated_at) ON speedy.products TO productd@localhost;
GRANT SELECT, INSERT ON speedy.images TO productd@localhost;
GRANT SELECT, INSERT, DELETE ON speedy.product_images TO productd@localhost;
GRANT SELECT, INSERT ON speedy.sales TO productd@localhost;
GRANT UPDATE (state, opens_at, closes_at, per_user_limit, hold_ms, restock,
    shipping, notice, closed_at, version) ON speedy.sales TO productd@localhost;
GRANT SELECT, INSERT ON speedy.sale_variants TO productd@localhost;
GRANT UPDATE (price, total, withheld)
    ON speedy.sale_variants TO productd@localhost;
GRANT SELECT, INSERT ON speedy.stock_adjustments TO productd@localhost;
GRANT SELECT ON speedy.orders TO productd@localhost;
GRANT UPDATE (pay_by, units_withheld) ON speedy.orders TO productd@localhost;
GRANT SELECT ON speedy.order_events TO productd@localhost;
GRANT INSERT ON speedy.release_outbox TO productd@localhost;
GRANT SELECT, INSERT ON speedy.audit_log TO productd@localhost;
GRANT SELECT (id, login, role, state) ON speedy.staff TO productd@localhost;

-- Payments: the moves of an order that money makes, and their rows.
GRANT SELECT ON speedy.products TO payd@localhost;
GRANT SELECT ON speedy.sales TO payd@localhost;
GRANT SELECT ON speedy.sale_variants TO payd@localhost;
GRANT UPDATE (held, sold, withheld) ON speedy.sale_variants TO payd@localhost;
GRANT SELECT ON speedy.orders TO payd@localhost;
GRANT UPDATE (state, version, units_live, units_withheld, updated_at)
    ON speedy.orders TO payd@localhost;
GRANT SELECT, INSERT ON speedy.order_events TO payd@localhost;
GRANT INSERT ON speedy.release_outbox TO payd@localhost;
GRANT SELECT, INSERT ON speedy.payments TO payd@localhost;
GRANT UPDATE (state, live_order, tid, aid, nonce_hash, refunded_amount, pc_url,
    mobile_url, app_url, next_at, inquiries, error_code, error, ready_at,
    dead_at, approve_at, ended_at) ON speedy.payments TO payd@localhost;
GRANT SELECT, INSERT ON speedy.payment_calls TO payd@localhost;
GRANT SELECT, INSERT ON speedy.refunds TO payd@localhost;
GRANT UPDATE (state, amount, tax_free_amount, vat_amount, available_before,
    calls, next_at, error_code, error, done_at) ON speedy.refunds TO payd@localhost;
GRANT SELECT, INSERT, DELETE ON speedy.order_recipients TO payd@localhost;
GRANT SELECT ON speedy.shipping_fees TO payd@localhost;
GRANT INSERT ON speedy.mails TO payd@localhost;
GRANT INSERT ON speedy.outbox TO payd@localhost;

-- staff add, end and reset, keys rotate, mail retry
GRANT INSERT ON speedy.staff TO speedyctl@localhost;
GRANT UPDATE (data_key, master_key) ON speedy.users TO speedyctl@localhost;
GRANT UPDATE (data_key, master_key) ON speedy.verifications TO speedyctl@localhost;
GRANT UPDATE (data_key, master_key) ON speedy.order_recipients TO speedyctl@localhost;
GRANT UPDATE (state, password_hash, sealed_totp, version, data_key, master_key)
    ON speedy.staff TO speedyctl@localhost;
GRANT UPDATE (ended_at, end_reason) ON speedy.sessions TO speedyctl@localhost;
GRANT UPDATE (state, attempts, next_at, expires_at, ended_at)
    ON speedy.mails TO speedyctl@localhost;
GRANT INSERT ON speedy.outbox TO speedyctl@localhost;

GRANT SELECT ON speedy.* TO reader@localhost;
