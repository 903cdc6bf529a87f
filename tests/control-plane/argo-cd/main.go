// Runs the Lua of a resource customization on objects as Argo CD does (util/lua/lua.go): with the same interpreter, the same few
// libraries, the same second for each script, and the same way from Lua to JSON. Everything around it is left out.
// Reads and writes JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	lua "github.com/yuin/gopher-lua"
	luajson "layeh.com/gopher-json"
)

type input struct {
	Health    string            `json:"health"`
	Discovery string            `json:"discovery"`
	Actions   map[string]string `json:"actions"`
	Objects   []any             `json:"objects"`
}

// What the scripts make of one object.
type output struct {
	Health    json.RawMessage            `json:"health"`
	Discovery json.RawMessage            `json:"discovery"`
	Actions   map[string]json.RawMessage `json:"actions"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	outputs := []output{}
	for _, object := range in.Objects {
		out := output{Actions: map[string]json.RawMessage{}}
		var err error
		if out.Health, err = evaluate(in.Health, object); err != nil {
			return fmt.Errorf("health: %w", err)
		}
		if out.Discovery, err = evaluate(in.Discovery, object); err != nil {
			return fmt.Errorf("discovery: %w", err)
		}
		for name, script := range in.Actions {
			if out.Actions[name], err = evaluate(script, object); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		outputs = append(outputs, out)
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}

func evaluate(script string, object any) (json.RawMessage, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	if err := open(state, lua.LoadLibName, lua.OpenPackage, lua.BaseLibName, lua.OpenBase, lua.TabLibName, lua.OpenTable); err != nil {
		return nil, err
	}
	state.PreloadModule(lua.OsLibName, safeOs)
	deadline, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(deadline)
	state.SetGlobal("obj", luajson.DecodeValue(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned := state.Get(-1)
	if returned.Type() != lua.LTTable {
		return nil, fmt.Errorf("expect table output from Lua script, not %s", returned.Type())
	}
	return luajson.Encode(returned)
}

func open(state *lua.LState, pairs ...any) error {
	for place := 0; place < len(pairs); place += 2 {
		library := state.NewFunction(pairs[place+1].(func(*lua.LState) int))
		if err := state.CallByParam(lua.P{Fn: library, Protect: true}, lua.LString(pairs[place].(string))); err != nil {
			return err
		}
	}
	return nil
}

// Of the library os, only time and date.
func safeOs(state *lua.LState) int {
	full := lua.NewState()
	defer full.Close()
	all := full.GetGlobal(lua.OsLibName).(*lua.LTable)
	safe := state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, state.NewFunction(all.RawGetString(name).(*lua.LFunction).GFunction))
	}
	state.Push(safe)
	return 1
}
