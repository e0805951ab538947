-- Restarts the job once, through a last checkpoint.
obj.spec.restartedAt = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
