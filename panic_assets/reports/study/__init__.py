"""The report of a study: one page that opens offline, the charts on it, and a figure for Dagster's metadata.

Here belong gathering a study's rows (``contents``), charts as SVG (``svg``, ``panels``, ``curves``), the article that
both the report and the web show (``article``), and the page around it (``render``). What is computed belongs to
``studies``.
"""
