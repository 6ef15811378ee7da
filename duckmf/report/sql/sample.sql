-- The model with at most $users of its users, drawn by a hash: what is said of lists and errors is
-- said of these.
create temp table mf__report_sample as
from mf__report_model
where
    kind <> 'user'
    or code in (
        select code from mf__report_model where kind = 'user'
        order by hash(hash(code) + 42), code
        limit $users
    );
