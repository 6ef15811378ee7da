-- Some users, from the least to the most active, with what they rated highest and their lists.
with ordered as (
    select user_id, ratings, ntile(least($users, (select count(*) from mf__report_sample where kind = 'user')))
        over (order by ratings, user_id) as tile
    from mf__report_sample
    where kind = 'user'
),
drawn as (
    select tile, max_by(user_id, (-rank, user_id)) as user_id
    from (
        select *, abs(row_number() over (partition by tile order by ratings, user_id) * 2
            - count(*) over (partition by tile)) as rank
        from ordered
    )
    group by tile
)
select d.tile, d.user_id::varchar as user_id, m.ratings,
    (
        select list({'title': s.title, 'rating': s.rating} order by s.rating desc, s.title)
        from (
            from mf__report_seen s where s.user_id = d.user_id
            order by s.rating desc, s.title limit 5
        ) s
    ) as liked,
    (
        select list({'title': i.title, 'score': l.score, 'source': l.source} order by l.rank)
        from mf__report_lists l join mf__report_items i using (item_id)
        where l.user_id = d.user_id
    ) as recommended
from drawn d join mf__report_sample m on m.kind = 'user' and m.user_id = d.user_id
order by d.tile;
