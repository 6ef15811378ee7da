select epoch, part, loss
from (
    select epoch, 'training' as part, train_loss as loss from mf_epochs(mf__report_model)
    union all
    select epoch, 'validation', validation_loss from mf_epochs(mf__report_model)
)
where loss is not null
order by part, epoch;
