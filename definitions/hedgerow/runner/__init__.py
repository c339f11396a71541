"""The runner: the process in the team's interpreter that loads the team's code and executes one order at a time."""
