"""Team analytics: delays, routes and weather over the flights, in SQL."""
