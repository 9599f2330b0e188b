# The steps of `make demo`. Independent steps run in parallel.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo tools engine vps python wheels models server whisper_faster whisperx deployment recordings
demo: recordings

tools:
	@demo/step 'Tools in .venv' make tools

engine:
	@demo/step 'Docker Engine' testbed/engine up

vps: engine
	@demo/step 'Image of the VPS' testbed/images vps

python: engine
	@demo/step 'Image of Python' testbed/images python

wheels: tools
	@demo/step 'PyTorch for the image of WhisperX' python testbed/wheels.py

models: tools
	@demo/step 'Models and recordings' python testbed/models.py

server: tools vps
	@demo/step 'A VPS in a container' ansible-playbook testbed/create.yml -e @demo/vps.yml

# The deployment uses these images, or waits for them.
whisper_faster: tools python
	@demo/deploy is-done || demo/step 'Image of faster-whisper' ansible-playbook testbed/services.yml -i inventory/demo --tags whisper_faster

whisperx: wheels python
	@demo/deploy is-done || demo/step 'Image of WhisperX' ansible-playbook testbed/services.yml -i inventory/demo --tags whisperx

deployment: server models wheels python
	@demo/step --shown 'Deployment: ansible-playbook site.yml -i inventory/demo' demo/deploy

recordings: deployment whisper_faster whisperx
	@demo/step --shown 'Recordings, over HTTPS' python demo/transcribe.py
