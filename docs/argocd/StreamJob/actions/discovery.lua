-- Which actions a StreamJob has, and which of them make sense now.
local suspended = obj.spec.suspend == true
local running = false
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    if condition.type == "Available" then
      running = condition.status == "True"
    end
  end
end
return {
  suspend = {disabled = suspended},
  resume = {disabled = not suspended},
  restart = {disabled = suspended},
  savepoint = {disabled = not running},
}
