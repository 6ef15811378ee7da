-- The ten best items of each user of the sample, without those they rated if that is known.
create temp table mf__report_lists as
from mf_recommend(mf__report_sample, k := 10, exclude_seen := $exclude_seen);
