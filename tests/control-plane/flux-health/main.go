// Says how healthy Flux finds objects: by kstatus, which it uses by default, and by the expressions of spec.healthCheckExprs of a
// Kustomization. Reads and writes JSON.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type input struct {
	Expressions kustomize.HealthCheckExpressions `json:"expressions"`
	Objects     []unstructured.Unstructured      `json:"objects"`
}

// What Flux makes of one object.
type output struct {
	Default     status.Status `json:"default"`
	Expressions status.Status `json:"expressions"`
	// Why the expressions say nothing; Flux then asks again.
	Error string `json:"error"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var in input
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	evaluator, err := cel.NewStatusEvaluator(&in.Expressions)
	if err != nil {
		return err
	}
	outputs := []output{}
	for _, object := range in.Objects {
		byDefault, err := status.Compute(&object)
		if err != nil {
			return err
		}
		out := output{Default: byDefault.Status}
		if byExpressions, err := evaluator.Evaluate(ctx, &object); err != nil {
			out.Error = err.Error()
		} else {
			out.Expressions = byExpressions.Status
		}
		outputs = append(outputs, out)
	}
	return json.NewEncoder(os.Stdout).Encode(outputs)
}
