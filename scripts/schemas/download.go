package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
)

// modules are the directories of the two modules of one version.
type modules struct {
	kubernetes string
	api        string
}

// download brings the modules of a version into the module cache.
func download(version string) (modules, error) {
	kubernetes, err := downloadModule("k8s.io/kubernetes@v" + version)
	if err != nil {
		return modules{}, err
	}
	// The libraries have the version of Kubernetes with a leading 0: v0.37.2 belongs to v1.37.2.
	api, err := downloadModule("k8s.io/api@v0" + version[1:])
	return modules{kubernetes, api}, err
}

func downloadModule(module string) (string, error) {
	command := exec.Command("go", "mod", "download", "-json", module)
	var output, messages bytes.Buffer
	command.Stdout, command.Stderr = &output, &messages
	failure := command.Run()
	var answer struct{ Dir, Error string }
	if err := json.Unmarshal(output.Bytes(), &answer); err != nil || failure != nil {
		return "", fmt.Errorf("%s: %v %s %s", module, failure, answer.Error, messages.String())
	}
	return answer.Dir, nil
}
