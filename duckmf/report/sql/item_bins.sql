-- What time adds to the bias of each of the most rated items: a row per bin, at its beginning.
select
    i.title,
    i.place,
    make_timestamp((1e6 * (s.t0 + (b.bin - 1) / len(m.temporal.bin_bias) * (s.t1 - s.t0)))::bigint) as begins,
    m.temporal.bin_bias[b.bin] as bias
from mf__report_items i
join mf__report_model m on m.kind = 'item' and m.code = i.code
cross join (
    select temporal.t0 as t0, temporal.t1 as t1 from mf__report_model where kind = 'model'
) s
cross join lateral (select unnest(range(1, len(m.temporal.bin_bias) + 1)) as bin) b
where i.place <= $items
order by i.place, begins;
