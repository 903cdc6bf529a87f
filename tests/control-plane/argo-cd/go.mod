// Runs Lua as Argo CD does, with the interpreter that it has. ../README.md says how to bump it.
module warehouse-sync-operator/control-plane/argo-cd

go 1.26.0

require (
	github.com/yuin/gopher-lua v1.1.2
	layeh.com/gopher-json v0.0.0-20190114024228-97fed8db8427
)
