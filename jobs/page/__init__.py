"""The lake as pages for a browser: what its tables hold and what its stages did. It only reads.

`days`, `tables`, `gates` and `models` ask the lake, `plots` places marks, `templates` draws, and
`app` serves it; `plugins/lake_page.py` puts that into Airflow, behind Airflow's login.
"""
