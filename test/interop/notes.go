package main

import (
	"crypto/rand"
	"fmt"

	"github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"golang.org/x/mod/sumdb/note"
)

// keyID names a key that was found good. Timestamp is nil where the library reads none from the signature.
type keyID struct {
	Name      string `json:"name"`
	ID        uint32 `json:"id"`
	Timestamp *int64 `json:"timestamp,string,omitempty"`
}

type vkeyRequest struct {
	Vkey string `json:"vkey"`
}

func readVkey(request vkeyRequest) (*keyID, error) {
	verifier, err := fnote.NewVerifier(request.Vkey)
	if err != nil {
		return nil, err
	}
	return &keyID{Name: verifier.Name(), ID: verifier.KeyHash()}, nil
}

// signerRequest asks for a fresh key. Type is that of c2sp.org/signed-note: 1, 4 or 6.
type signerRequest struct {
	Name string `json:"name"`
	Type int    `json:"type"`
}

func newSigner(request signerRequest) (note.Signer, string, error) {
	if request.Type == 6 {
		skey, vkey, err := fnote.GenerateMLDSAKey(request.Name)
		if err != nil {
			return nil, "", err
		}
		signer, err := fnote.NewMLDSASigner(skey)
		return signer, vkey, err
	}
	skey, vkey, err := note.GenerateKey(rand.Reader, request.Name)
	if err != nil {
		return nil, "", err
	}
	switch request.Type {
	case 1:
		signer, err := note.NewSigner(skey)
		return signer, vkey, err
	case 4:
		signer, err := fnote.NewSignerForCosignatureV1(skey)
		if err != nil {
			return nil, "", err
		}
		vkey, err = fnote.VKeyToCosignatureV1(vkey)
		return signer, vkey, err
	}
	return nil, "", fmt.Errorf("the libraries make no key of type %d", request.Type)
}

type signed struct {
	Note  []byte   `json:"note"`
	Vkeys []string `json:"vkeys"`
}

type signNoteRequest struct {
	Text    []byte          `json:"text"`
	Signers []signerRequest `json:"signers"`
}

func signNote(request signNoteRequest) (*signed, error) {
	result := &signed{}
	var signers []note.Signer
	for _, wanted := range request.Signers {
		signer, vkey, err := newSigner(wanted)
		if err != nil {
			return nil, err
		}
		signers = append(signers, signer)
		result.Vkeys = append(result.Vkeys, vkey)
	}
	var err error
	result.Note, err = note.Sign(&note.Note{Text: string(request.Text)}, signers...)
	return result, err
}

type openNoteRequest struct {
	Note  []byte   `json:"note"`
	Vkeys []string `json:"vkeys"`
}

type openedNote struct {
	Text     []byte  `json:"text"`
	Verified []keyID `json:"verified"`
}

func openNote(request openNoteRequest) (*openedNote, error) {
	verifiers, err := newVerifiers(request.Vkeys)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open(request.Note, note.VerifierList(verifiers...))
	if err != nil {
		return nil, err
	}
	return &openedNote{Text: []byte(opened.Text), Verified: verifiedKeys(opened)}, nil
}

func newVerifiers(vkeys []string) ([]note.Verifier, error) {
	var verifiers []note.Verifier
	for _, vkey := range vkeys {
		verifier, err := fnote.NewVerifier(vkey)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, verifier)
	}
	return verifiers, nil
}

func verifiedKeys(opened *note.Note) []keyID {
	keys := []keyID{}
	for _, signature := range opened.Sigs {
		key := keyID{Name: signature.Name, ID: signature.Hash}
		if time, err := fnote.CoSigV1Timestamp(signature); err == nil {
			seconds := time.Unix()
			key.Timestamp = &seconds
		}
		keys = append(keys, key)
	}
	return keys
}

type checkpoint struct {
	Origin string `json:"origin"`
	Size   uint64 `json:"size,string"`
	Root   []byte `json:"root"`
}

type signCheckpointRequest struct {
	checkpoint
	Signers []signerRequest `json:"signers"`
}

func signCheckpoint(request signCheckpointRequest) (*signed, error) {
	body := log.Checkpoint{Origin: request.Origin, Size: request.Size, Hash: request.Root}.Marshal()
	return signNote(signNoteRequest{Text: body, Signers: request.Signers})
}

// openCheckpointRequest: LogVkey is the key that has to have signed, Vkeys are further ones.
type openCheckpointRequest struct {
	Note    []byte   `json:"note"`
	Origin  string   `json:"origin"`
	LogVkey string   `json:"logVkey"`
	Vkeys   []string `json:"vkeys"`
}

type openedCheckpoint struct {
	checkpoint
	Rest     []byte  `json:"rest"`
	Verified []keyID `json:"verified"`
}

func openCheckpoint(request openCheckpointRequest) (*openedCheckpoint, error) {
	verifiers, err := newVerifiers(append([]string{request.LogVkey}, request.Vkeys...))
	if err != nil {
		return nil, err
	}
	parsed, rest, opened, err := log.ParseCheckpoint(request.Note, request.Origin, verifiers[0], verifiers[1:]...)
	if err != nil {
		return nil, err
	}
	return &openedCheckpoint{
		checkpoint: checkpoint{Origin: parsed.Origin, Size: parsed.Size, Root: parsed.Hash},
		Rest:       append([]byte{}, rest...),
		Verified:   verifiedKeys(opened),
	}, nil
}
