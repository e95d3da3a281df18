"""One file for each question of the paper: `answer(tables)` gives numbers as JSON, and saves pages for `report`."""
