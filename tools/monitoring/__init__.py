"""Alert rules, the Grafana dashboard and the table of metrics: `make docs` writes them from the metrics in the code."""
