-- mf_models()
--
-- The models of all attached databases: every table or view with the shape of a model and one row of
-- kind 'model'. Needs a duckmf connection (Python), since SQL alone cannot read tables that it finds.
--
--     FROM mf_models();
--
-- Returns a row for each model, by database, schema and name:
--   database_name, schema_name, name
--   kind                  'table' or 'view'
--   algorithm, feedback   of mf_fit; 'explicit' models predict ratings, 'implicit' ones rank
--   users, items          rows of the relation now
--   ratings               training rows
--   n_factors             NULL where the algorithm has none
--   loss                  what the losses are, such as 'rmse'
--   train_loss, validation_loss
--                         of the best epoch; without held-out rows the latter is NULL
--   trained_at            when, in UTC
--   seconds               that it took
--   bytes                 of its factors, and of the items and ratings of its users, uncompressed
--   problem               why a view with the shape of a model could not be read; else NULL
--
-- Read are committed tables and views; neither temp tables nor what this transaction has changed.

create or replace macro mf_models() as table
from (
    with
    mf__shapes as materialized (
        select c.database_name, c.schema_name, c.table_name as name
        from duckdb_columns() c
        where not c.internal and c.database_name <> 'temp'
            and c.column_name in (
                'kind', 'user_id', 'item_id', 'code', 'ratings', 'bias', 'factors', 'seen', 'facts'
            )
        group by c.database_name, c.schema_name, c.table_name
        having count(*) = 9
    ),
    mf__found as materialized (
        select s.*, case when t.table_name is null then 'view' else 'table' end as kind
        from mf__shapes s left join duckdb_tables() t
            on t.database_name = s.database_name and t.schema_name = s.schema_name
                and t.table_name = s.name
    ),
    mf__read as materialized (
        select
            f.*,
            mf__model_head(
                '"' || replace(f.database_name, '"', '""') || '"."'
                || replace(f.schema_name, '"', '""') || '"."' || replace(f.name, '"', '""') || '"'
            ) as head
        from mf__found f
    )
    select
        r.database_name, r.schema_name, r.name, r.kind,
        r.head.algorithm, r.head.feedback, r.head.users, r.head.items, r.head.ratings,
        r.head.n_factors, r.head.loss, r.head.train_loss, r.head.validation_loss,
        r.head.trained_at, r.head.seconds, r.head.bytes, r.head.problem
    from mf__read r
    where mf__answer(r.head.models = 1 or r.head.problem is not null, r.head.error)
    order by all asc nulls last
);
comment on macro table mf_models is 'The models of all attached databases';
