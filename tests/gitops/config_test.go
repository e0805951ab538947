// How docs/argocd/argocd-cm.yaml is put together.
//
// Owns: its layout.
// Never: changes a script.
package gitops

import (
	"strings"
	"testing"
)

// The Lua as Argo CD's ConfigMap holds it.
func configMap(t *testing.T) string {
	var text strings.Builder
	text.WriteString(`# What Argo CD is to know of StreamJobs; a patch of its ConfigMap. Made from the Lua files beside it.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  namespace: argocd
data:
`)
	for _, kind := range []string{"StreamJob", "StreamJobSavepoint"} {
		text.WriteString("  resource.customizations.health.streamjob.dev_" + kind + ": |\n")
		text.WriteString(indented(script(t, kind+"/health.lua"), 4))
	}
	text.WriteString("  resource.customizations.actions.streamjob.dev_StreamJob: |\n    discovery.lua: |\n")
	text.WriteString(indented(script(t, "StreamJob/actions/discovery.lua"), 6))
	text.WriteString("    definitions:\n")
	for _, action := range []string{"restart", "resume", "savepoint", "suspend"} {
		text.WriteString("    - name: " + action + "\n      action.lua: |\n")
		text.WriteString(indented(script(t, "StreamJob/actions/"+action+".lua"), 8))
	}
	return text.String()
}

func indented(text string, by int) string {
	var out strings.Builder
	for _, line := range strings.SplitAfter(text, "\n") {
		if strings.TrimSpace(line) != "" {
			out.WriteString(strings.Repeat(" ", by))
		}
		out.WriteString(line)
	}
	return out.String()
}
