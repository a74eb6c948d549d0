"""The control API: what can be asked of it, in three rooms: labs, work (drills, jobs and runs), and the way in."""
