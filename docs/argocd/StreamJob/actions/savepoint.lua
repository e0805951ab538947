-- Makes a StreamJobSavepoint of the job, named by the time.
local savepoint = {
  apiVersion = "streamjob.dev/v1alpha1",
  kind = "StreamJobSavepoint",
  metadata = {
    name = obj.metadata.name .. os.date("!-%Y%m%d-%H%M%S"),
    namespace = obj.metadata.namespace,
  },
  spec = {streamJobName = obj.metadata.name},
}
return {{operation = "create", resource = savepoint}}
