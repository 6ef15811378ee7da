create temp table mf__report_titles as
select item_id, null::varchar as title, null::varchar as color
from mf__report_model
where false;
