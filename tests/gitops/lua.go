// Package gitops runs the Lua of docs/argocd.
//
// Owns: the few libraries that Argo CD gives a script.
// Never: decides what a script should say; the tests do.
package gitops

import (
	"fmt"
	"sort"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Runs a script with `obj`, as Argo CD does: in a state of its own, with the base, table, string and math libraries, and of
// `os` nothing but date and time.
func run(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString, lua.MathLibName: lua.OpenMath,
	} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			return nil, err
		}
	}
	clock := state.NewTable()
	clock.RawSetString("time", state.NewFunction(func(state *lua.LState) int {
		state.Push(lua.LNumber(time.Now().Unix()))
		return 1
	}))
	clock.RawSetString("date", state.NewFunction(date))
	state.SetGlobal("os", clock)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	return fromLua(state.Get(-1)), nil
}

func date(state *lua.LState) int {
	format := strings.TrimPrefix(state.CheckString(1), "!")
	now := time.Now().UTC()
	for from, to := range map[string]string{"%Y": "2006", "%m": "01", "%d": "02", "%H": "15", "%M": "04", "%S": "05"} {
		format = strings.ReplaceAll(format, from, now.Format(to))
	}
	state.Push(lua.LString(format))
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := state.NewTable()
		for name, member := range value {
			table.RawSetString(name, toLua(state, member))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, entry := range value {
			table.Append(toLua(state, entry))
		}
		return table
	case string:
		return lua.LString(value)
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	case nil:
		return lua.LNil
	}
	panic(fmt.Sprintf("%T is not of JSON", value))
}

func fromLua(value lua.LValue) any {
	switch value := value.(type) {
	case *lua.LTable:
		if value.MaxN() > 0 {
			var list []any
			value.ForEach(func(_, entry lua.LValue) { list = append(list, fromLua(entry)) })
			return list
		}
		members := map[string]any{}
		value.ForEach(func(name, member lua.LValue) { members[name.String()] = fromLua(member) })
		return members
	case lua.LString:
		return string(value)
	case lua.LBool:
		return bool(value)
	case lua.LNumber:
		return float64(value)
	}
	return nil
}

// The names of the actions that are not disabled, in order.
func enabled(actions map[string]any) string {
	var names []string
	for name, action := range actions {
		if action.(map[string]any)["disabled"] != true {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	return strings.Join(names, " ")
}
