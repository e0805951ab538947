-- Stops the job after a last checkpoint; its state stays.
obj.spec.suspend = true
return obj
