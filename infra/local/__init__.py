"""The local run: an embedded AWS, the HTTP function and the workers, as three processes.

__main__    `make run`
hub         the supervisor; also what tests start a whole hub with
processes   one child process and its lifeline
embedded    the embedded AWS and the stack on it, from the template that real AWS gets
aws_server  what runs in the process `aws`
gateway     what runs in the process `http`: API Gateway's part
pollers     what runs in the process `workers`: Lambda's event source mappings
records     Lambda's event shapes
state       the state folder: sound, and used by one hub at a time
"""
