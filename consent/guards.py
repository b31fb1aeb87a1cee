"""What in the database itself keeps the record append-only? Triggers, on both databases.

They stop mistakes and the application's own account. The owner of the file, or a superuser, can
remove them: against those only a checkpoint kept elsewhere helps, which detects but does not prevent.
"""

from __future__ import annotations

from typing import Literal

SQLITE = """
insert into ledger_head (id, size, root, frontier)
select 1, 0, x'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', x''
where not exists (select 1 from ledger_head)
;;
create trigger ledger_entry_no_update before update on ledger_entry
begin select raise(abort, 'append-only: a ledger entry may not be changed'); end
;;
create trigger ledger_entry_no_delete before delete on ledger_entry
begin select raise(abort, 'append-only: a ledger entry may not be removed'); end
;;
create trigger ledger_entry_in_order before insert on ledger_entry
when new.seq is not (select coalesce(max(seq) + 1, 0) from ledger_entry)
begin select raise(abort, 'append-only: a ledger entry comes right after the last one'); end
;;
create trigger ledger_head_no_second before insert on ledger_head
begin select raise(abort, 'append-only: there is one ledger head, and it stays'); end
;;
create trigger ledger_head_no_delete before delete on ledger_head
begin select raise(abort, 'append-only: the ledger head may not be removed'); end
;;
create trigger ledger_head_forward before update on ledger_head
when new.id is not old.id
  or new.size <= old.size
  or new.size is not (select max(seq) + 1 from ledger_entry)
begin select raise(abort, 'append-only: the ledger head moves to the last entry, and only forward'); end
;;
create trigger ledger_tile_no_update before update on ledger_tile
begin select raise(abort, 'append-only: a tile of the ledger may not be changed'); end
;;
create trigger ledger_tile_no_delete before delete on ledger_tile
begin select raise(abort, 'append-only: a tile of the ledger may not be removed'); end
;;
create trigger ledger_tile_no_replace before insert on ledger_tile
when exists (select 1 from ledger_tile where level = new.level and idx = new.idx)
begin select raise(abort, 'append-only: a tile of the ledger may not be replaced'); end
;;
create trigger checkpoint_no_update before update on checkpoint
begin select raise(abort, 'append-only: a checkpoint may not be changed'); end
;;
create trigger checkpoint_no_delete before delete on checkpoint
begin select raise(abort, 'append-only: a checkpoint may not be removed'); end
;;
create trigger checkpoint_in_order before insert on checkpoint
when new.size <= (select coalesce(max(size), 0) from checkpoint)
  or new.size > (select size from ledger_head where id = 1)
begin select raise(abort, 'append-only: a checkpoint comes after the last one and within the ledger'); end
;;
create trigger consent_text_no_update before update on consent_text
begin select raise(abort, 'append-only: a published text may not be edited; publish a new version'); end
;;
create trigger consent_text_no_delete before delete on consent_text
begin select raise(abort, 'append-only: a published text may not be removed'); end
;;
create trigger consent_text_no_replace before insert on consent_text
when exists (
  select 1 from consent_text
  where id = new.id or (
    controller = new.controller and channel = new.channel and purpose = new.purpose
    and version = new.version and language = new.language
  )
)
begin select raise(abort, 'append-only: a published text may not be replaced; publish a new version'); end
;;
create trigger proof_vault_no_update before update on proof_vault
begin select raise(abort, 'append-only: evidence may be erased, not changed'); end
;;
create trigger proof_vault_no_replace before insert on proof_vault
when exists (select 1 from proof_vault where seq = new.seq)
begin select raise(abort, 'append-only: evidence may be erased, not replaced'); end
"""

# search_path is fixed with pg_temp last: a temporary table named ledger_head may not speak for the real one.
POSTGRESQL = """
insert into ledger_head (id, size, root, frontier)
select 1, 0, decode('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 'hex'), ''
where not exists (select 1 from ledger_head)
;;
create function consent_refuse() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  raise exception using
    message = 'append-only: ' || lower(tg_op) || ' on ' || tg_table_name || ' is refused',
    errcode = 'integrity_constraint_violation';
end $$
;;
create function ledger_entry_in_order() returns trigger language plpgsql set search_path = public, pg_temp as $$
declare
  head bigint;
  low bigint;
  high bigint;
  added_rows bigint;
begin
  select size into head from ledger_head where id = 1;
  select min(seq), max(seq), count(*) into low, high, added_rows from added;
  if added_rows > 0 and (low is distinct from head or high is distinct from head + added_rows - 1) then
    raise exception using
      message = 'append-only: a ledger entry comes right after the last one',
      errcode = 'integrity_constraint_violation';
  end if;
  return null;
end $$
;;
create function ledger_head_forward() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.id is distinct from old.id
    or new.size <= old.size
    or new.size is distinct from (select max(seq) + 1 from ledger_entry)
  then
    raise exception using
      message = 'append-only: the ledger head moves to the last entry, and only forward',
      errcode = 'integrity_constraint_violation';
  end if;
  return new;
end $$
;;
create trigger ledger_entry_no_change before update or delete or truncate on ledger_entry
for each statement execute function consent_refuse()
;;
create trigger ledger_entry_in_order after insert on ledger_entry
referencing new table as added for each statement execute function ledger_entry_in_order()
;;
create trigger ledger_head_no_change before insert or delete or truncate on ledger_head
for each statement execute function consent_refuse()
;;
create trigger ledger_head_forward before update on ledger_head
for each row execute function ledger_head_forward()
;;
create function checkpoint_in_order() returns trigger language plpgsql set search_path = public, pg_temp as $$
begin
  if new.size <= (select coalesce(max(size), 0) from checkpoint)
    or new.size > (select size from ledger_head where id = 1)
  then
    raise exception using
      message = 'append-only: a checkpoint comes after the last one and within the ledger',
      errcode = 'integrity_constraint_violation';
  end if;
  return new;
end $$
;;
create trigger ledger_tile_no_change before update or delete or truncate on ledger_tile
for each statement execute function consent_refuse()
;;
create trigger checkpoint_no_change before update or delete or truncate on checkpoint
for each statement execute function consent_refuse()
;;
create trigger checkpoint_in_order before insert on checkpoint
for each row execute function checkpoint_in_order()
;;
create trigger consent_text_no_change before update or delete or truncate on consent_text
for each statement execute function consent_refuse()
;;
create trigger proof_vault_no_change before update or truncate on proof_vault
for each statement execute function consent_refuse()
;;
alter table ledger_entry enable always trigger ledger_entry_no_change
;;
alter table ledger_entry enable always trigger ledger_entry_in_order
;;
alter table ledger_head enable always trigger ledger_head_no_change
;;
alter table ledger_head enable always trigger ledger_head_forward
;;
alter table ledger_tile enable always trigger ledger_tile_no_change
;;
alter table checkpoint enable always trigger checkpoint_no_change
;;
alter table checkpoint enable always trigger checkpoint_in_order
;;
alter table consent_text enable always trigger consent_text_no_change
;;
alter table proof_vault enable always trigger proof_vault_no_change
"""

GRANTS = """
grant select, insert on ledger_entry, ledger_tile, checkpoint, checkpoint_delivery, consent_text to {role}
;;
grant select, update on ledger_head to {role}
;;
grant select, insert, delete on proof_vault to {role}
;;
grant select, insert, update, delete on identity, opt_in_request, opt_in_purpose, consent_state, suppression to {role}
;;
grant select, insert, update, delete on rights_request to {role}
;;
grant usage on all sequences in schema public to {role}
"""


def statements(dialect: Literal["sqlite", "postgresql"] | str) -> list[str]:  # noqa: PYI051  names the two for readers
    """Give the SQL that puts the first head in place and guards the record, in order.

    For a database whose tables exist and are unguarded; a migration runs it once. Raises KeyError
    for another dialect.
    """
    return _split({"sqlite": SQLITE, "postgresql": POSTGRESQL}[dialect])


def grants(role: str) -> list[str]:
    """Give the SQL that lets a PostgreSQL role use the record without being able to unguard it.

    The role must own nothing: an owner can drop triggers. Raises ValueError for a role name that is not
    made of lower-case letters, digits and underscores.
    """
    if not role.isascii() or not role.replace("_", "a").isalnum() or role != role.lower():
        raise ValueError("a role is named with lower-case letters, digits and underscores")
    return _split(GRANTS.format(role=role))


def _split(script: str) -> list[str]:
    """Cut a script at its double semicolons; single ones belong to triggers."""
    return [part.strip() for part in script.split(";;")]
