// Command interop answers Kedge's interoperability tests with what the Go libraries say.
//
// The argument is a verb. Standard input is a JSON array of requests, standard output a JSON array of
// answers in their order: {"accepted": …}, or {"refused": "why"}. 64-bit integers are strings of decimal
// digits, bytes are base64.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

type answer struct {
	Accepted any    `json:"accepted,omitempty"`
	Refused  string `json:"refused,omitempty"`
}

var verbs = map[string]func(*json.Decoder) ([]answer, error){
	"read-vkey":         each(readVkey),
	"sign-note":         each(signNote),
	"open-note":         each(openNote),
	"sign-checkpoint":   each(signCheckpoint),
	"open-checkpoint":   each(openCheckpoint),
	"write-tile-path":   each(writeTilePath),
	"read-tile-path":    each(readTilePath),
	"changed-tiles":     each(changedTiles),
	"write-tree":        each(writeTree),
	"read-leaves":       each(readLeaves),
	"read-entries":      each(readEntries),
	"prove-inclusion":   each(proveInclusion),
	"prove-consistency": each(proveConsistency),
	"check-inclusion":   each(checkInclusion),
	"check-consistency": each(checkConsistency),
	"write-proof":       each(writeProof),
	"check-proof":       each(checkProof),
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || verbs[args[0]] == nil {
		return errors.New("the one argument is a verb")
	}
	requests := json.NewDecoder(os.Stdin)
	requests.DisallowUnknownFields()
	answers, err := verbs[args[0]](requests)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

// each makes a verb of a function of one request. Only what the function returns is an answer: a request that
// cannot be read ends the program.
func each[Request, Result any](handle func(Request) (*Result, error)) func(*json.Decoder) ([]answer, error) {
	return func(input *json.Decoder) ([]answer, error) {
		var requests []Request
		if err := input.Decode(&requests); err != nil {
			return nil, err
		}
		if _, err := input.Token(); err != io.EOF {
			return nil, errors.New("something follows the requests")
		}
		answers := make([]answer, len(requests))
		for i, request := range requests {
			if result, err := handle(request); err != nil {
				answers[i] = answer{Refused: err.Error()}
			} else {
				answers[i] = answer{Accepted: result}
			}
		}
		return answers, nil
	}
}
