// What Argo CD and Flux make of StreamJobs: the Lua of docs/argocd run as Argo CD runs it, and kstatus, over objects that the
// operator has made.
//
// Owns: docs/argocd/argocd-cm.yaml, which holds the same Lua for those who paste it: `go test -args -write` writes it.
// Never: asks a cluster.
package gitops

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

const folder = "../../docs/argocd"

var write = flag.Bool("write", false, "write argocd-cm.yaml")

type expected struct {
	Argo    string `json:"argo"`
	Kstatus string `json:"kstatus"`
	Says    string `json:"says"`
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(script(t, path)), into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func script(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func object(t *testing.T, kind, name string) map[string]any {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(script(t, filepath.Join(kind, "testdata", name+".yaml"))))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(text); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return object.Object
}

func everyObject(t *testing.T, check func(t *testing.T, kind, name string, wanted expected)) {
	var table map[string]map[string]expected
	read(t, "expected.yaml", &table)
	for kind, objects := range table {
		files, err := filepath.Glob(filepath.Join(folder, kind, "testdata", "*.yaml"))
		if err != nil || len(files) != len(objects) {
			t.Fatalf("%s: %d objects, %d of them expected (%v)", kind, len(files), len(objects), err)
		}
		for name, wanted := range objects {
			t.Run(kind+"/"+name, func(t *testing.T) { check(t, kind, name, wanted) })
		}
	}
}

func TestArgoCDSeesTheHealthOfEveryObject(t *testing.T) {
	everyObject(t, func(t *testing.T, kind, name string, wanted expected) {
		found, err := run(script(t, kind+"/health.lua"), object(t, kind, name))
		if err != nil {
			t.Fatal(err)
		}
		health := found.(map[string]any)
		said, _ := health["message"].(string)
		if health["status"] != wanted.Argo || !strings.Contains(said, wanted.Says) {
			t.Errorf("%v, wanted %+v", health, wanted)
		}
	})
}

func TestKstatusSeesTheSame(t *testing.T) {
	everyObject(t, func(t *testing.T, kind, name string, wanted expected) {
		object := object(t, kind, name)
		found, err := status.Compute(&unstructured.Unstructured{Object: object})
		if err != nil {
			t.Fatal(err)
		}
		got := found.Status.String()
		// Without a status kstatus takes every object for current: the operator writes one within a second.
		if object["status"] == nil && got == "Current" {
			got = wanted.Kstatus
		}
		if got != wanted.Kstatus {
			t.Errorf("%s: %s, wanted %s", got, found.Message, wanted.Kstatus)
		}
	})
}

func TestAnActionIsOfferedWhenItMakesSense(t *testing.T) {
	table := map[string]string{
		"running": "restart savepoint suspend", "suspended": "resume", "new": "restart suspend",
		"rolled-back": "restart savepoint suspend",
	}
	for name, wanted := range table {
		found, err := run(script(t, "StreamJob/actions/discovery.lua"), object(t, "StreamJob", name))
		if err != nil {
			t.Fatal(err)
		}
		if got := enabled(found.(map[string]any)); got != wanted {
			t.Errorf("%s: %q, wanted %q", name, got, wanted)
		}
	}
}

func TestAnActionChangesWhatItSays(t *testing.T) {
	act := func(action, name string) any {
		found, err := run(script(t, "StreamJob/actions/"+action+".lua"), object(t, "StreamJob", name))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	spec := func(found any) map[string]any { return found.(map[string]any)["spec"].(map[string]any) }

	if spec(act("suspend", "running"))["suspend"] != true {
		t.Error("suspend does not suspend")
	}
	if _, there := spec(act("resume", "suspended"))["suspend"]; there {
		t.Error("resume leaves `suspend` where it is")
	}
	if text, _ := spec(act("restart", "running"))["restartedAt"].(string); !strings.HasPrefix(text, "20") {
		t.Errorf("restartedAt is %q", text)
	}
	made := act("savepoint", "running").([]any)[0].(map[string]any)
	savepoint := made["resource"].(map[string]any)
	if made["operation"] != "create" || spec(savepoint)["streamJobName"] != "clicks-per-page" {
		t.Errorf("%v", made)
	}
	if meta := savepoint["metadata"].(map[string]any); meta["namespace"] != "analytics" || len(meta["name"].(string)) > 63 {
		t.Errorf("%v", meta)
	}
}

func TestTheConfigMapHoldsTheSameLua(t *testing.T) {
	wanted := configMap(t)
	path := filepath.Join(folder, "argocd-cm.yaml")
	if *write {
		if err := os.WriteFile(path, []byte(wanted), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if found, _ := os.ReadFile(path); string(found) != wanted {
		t.Errorf("%s is not what the Lua files say: cd tests/gitops && go test . -args -write", path)
	}
}
