"""What lives while one SQL function runs, from the request of its macro to the rows it returns.

A statement's file is named as its function: tune.py serves `mf_tune` and `mf_fit_best`, project.py
`mf_project_items` and `mf_project_users`. The others hold what several of them need.
"""
