from mf_info(mf__report_model);
