-- The health of a StreamJob. Only conditions are read: phases are for people.
local health = {status = "Progressing", message = "Waiting for the operator."}
local status = obj.status
if status == nil or status.conditions == nil or status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(status.conditions) do
  conditions[condition.type] = condition
end
local function is(name)
  return conditions[name] ~= nil and conditions[name].status == "True"
end
local function says(name)
  return conditions[name] ~= nil and conditions[name].message or ""
end

health.message = says("Ready")
if is("Suspended") and is("Ready") then
  health.status = "Suspended"
elseif is("Stalled") then
  health.status = "Degraded"
  health.message = says("Stalled")
elseif is("Reconciling") then
  health.status = "Progressing"
elseif is("Ready") then
  health.status = "Healthy"
end
return health
