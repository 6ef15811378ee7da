-- mf_help(name := NULL), mf_version()
--
-- What there is to call. Plain SQL; needs no Python.
--
--   from mf_help();                   -- all functions
--   from mf_help('mf_recommend');     -- the manual of one: .maxrows 200 shows a long one whole
--   from mf_version();
--
-- mf_help() returns a row for each function, by name:
--   name, what        what it is for, as `comment` of duckdb_functions()
--   needs_python      whether it needs a duckmf connection
-- mf_help(name) returns the lines of its manual, in order, as `manual`: the header of its SQL file.
--
-- name  a function, in any case; 'recommend' is mf_recommend too
--
-- mf_version() returns one row:
--   version           of duckmf that made these functions
--   format            of the models that they read, mf_info says that of a model
--   duckdb            the version of DuckDB
--   python            whether functions that need Python can be called here

-- What a file without Python has in place of a function that needs it: an error when it is bound, whatever
-- its arguments are. `python` is NULL: a constant would raise the error where the function is made.
create or replace macro mf__needs_python(caller, python) as table
from query_table(case when python is null then mf__no_python(caller) end);
comment on macro table mf__needs_python is 'An error that names the ways to Python';

-- One row in the process of a server; elsewhere the same error, for files that a killed server has left.
create or replace macro mf__served(caller, python) as table
from range(
    case
        when python is null and not contains(current_setting('custom_user_agent'), mf__server())
            then mf__no_python(caller)
        else 1
    end
);
comment on macro table mf__served is 'A row in the process of a server, else an error';

create or replace macro mf__no_python(caller) as
    error(caller || ': this needs Python, and here is only the SQL of duckmf. Open the database with '
        || '''duckmf FILE'' or, in Python, duckmf.load(con), or ask a server of ''duckmf serve FILE''.');
comment on macro mf__no_python is 'An error that names the ways to Python';

create or replace macro mf_help(name := null) as table
from (
    with
    mf__entries as not materialized (
        select
            unnest(m.names) as entry, unnest(m.comments) as what, m.needs_python, m.manual
        from mf__manuals() m
    ),
    mf__listed as not materialized (
        select e.entry as name, e.what, e.needs_python
        from mf__entries e
        order by 1 asc nulls last
    ),
    mf__found as not materialized (
        select
            any_value(e.manual) filter (where e.entry in (lower(name), 'mf_' || lower(name))) as manual,
            min({'distance': levenshtein(e.entry, lower(name)), 'entry': e.entry}).entry as nearest
        from mf__entries e
    ),
    mf__manual as not materialized (
        select
            unnest(string_split(
                coalesce(
                    f.manual,
                    error('mf_help: there is no function ' || name || '. Did you mean ' || f.nearest
                        || '? FROM mf_help() lists all.')
                ),
                chr(10)
            )) as manual
        from mf__found f
    )
    from query_table(case when name is null then 'mf__listed' else 'mf__manual' end)
);
comment on macro table mf_help is 'All functions of duckmf, or the manual of one';

create or replace macro mf_version() as table
select
    mf__release() as version, mf__format() as format, version() as duckdb,
    exists (
        select f.function_name from duckdb_functions() f where f.function_name = 'mf__begin'
    ) as python;
comment on macro table mf_version is 'The version of the installed functions, in one row';
