"""Pages: what a store of rollups holds, to look at: one HTML file without a network, readable by every eye.

`report_page(store)` in `reports.page` makes it. `steps` cuts time, `figures` and its neighbours say what is shown, as
data from the store; `numbers` writes numbers, `charts` draws, `page` sets the page. Free of Beam.
"""
