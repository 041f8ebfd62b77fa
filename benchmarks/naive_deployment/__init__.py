"""The deployment as seven plain scripts: what it is measured against.

Each does by hand what a step of the pipeline does, the way such scripts are usually written: MLflow, boto3
and requests imported at the top, plain uploads, an HTTP load, a look at the answer's shape.  None claims a
version, checks a checksum, stages an upload or can be rolled back.  They share a folder for what goes from
one to the next and run one after another, the last two side by side.
"""
