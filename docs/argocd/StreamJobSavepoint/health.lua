-- The health of a StreamJobSavepoint: healthy once it is in the store, so that a wave after it may rely on it.
local health = {status = "Progressing", message = "Waiting for the operator."}
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end
for _, condition in ipairs(status.conditions) do
  if condition.status == "True" then
    if condition.type == "Complete" then
      return {status = "Healthy", message = status.uri or ""}
    elseif condition.type == "Failed" then
      return {status = "Degraded", message = condition.message}
    elseif condition.type == "Reconciling" then
      health.message = condition.message
    end
  end
end
return health
