"""A double of Grafana: it loads the real provisioning files and asks the real Prometheus, and says what it is."""
