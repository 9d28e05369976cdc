use core_model::{
    ConversationId, ConversationInfo, ConversationState, ExecutionStatus, Metadata,
    info::RuntimeInfo, port::ListQuery,
};

use crate::{ConversationPage, ConversationQuery, Listed, Runtime, RuntimeError};

/// What lists and details show.
impl Runtime {
    /// A conversation's details, without bringing it into memory where its stored state will do.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], or a store error.
    pub async fn info(&self, id: ConversationId) -> Result<ConversationInfo, RuntimeError> {
        let mut info = match self.residency.cache.get(id) {
            Some(live) => {
                self.recover_lost_run(&live).await;
                live.info()
            }
            None => {
                let metadata = self.state().store.metadata(id).await?;
                match self.stored_info(&metadata).await? {
                    Some(info) => info,
                    None => self.recovered(id).await?.info(),
                }
            }
        };
        info.runtime_info = Some(RuntimeInfo::available());
        Ok(info)
    }

    /// The details of several conversations, in their order; none where there is no such
    /// conversation, or it cannot be read.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn infos(
        &self,
        ids: &[ConversationId],
    ) -> Result<Vec<Option<ConversationInfo>>, RuntimeError> {
        let mut infos: Vec<Option<ConversationInfo>> = ids
            .iter()
            .map(|id| self.residency.cache.peek(*id).map(|live| live.info()))
            .collect();
        let resting = |(at, info): (usize, &Option<_>)| info.is_none().then_some(at);
        let places: Vec<usize> = infos.iter().enumerate().filter_map(resting).collect();
        let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
        let stored = if wanted.is_empty() {
            Vec::new()
        } else {
            self.state().store.metadata_of(&wanted).await?
        };
        for (at, metadata) in places.into_iter().zip(stored) {
            let Some(metadata) = metadata else { continue };
            let known = match self.stored_info(&metadata).await? {
                Some(info) => Some(info),
                None => self.postponed_info(&metadata).await?,
            };
            infos[at] = match known {
                Some(info) => Some(info),
                None => match self.info(metadata.id).await {
                    Ok(info) => Some(info),
                    // Deleted since.
                    Err(RuntimeError::NotFound(_)) => None,
                    Err(RuntimeError::Stopping) => return Err(RuntimeError::Stopping),
                    Err(error) => {
                        tracing::warn!(conversation.id = %metadata.id, %error, "left out");
                        None
                    }
                },
            };
        }
        for info in infos.iter_mut().flatten() {
            info.runtime_info = Some(RuntimeInfo::available());
        }
        Ok(infos)
    }

    /// Several conversations as lists show them, in their order; none where there is no such
    /// conversation, or it cannot be read. What the store keeps ready is used as it is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn listed(
        &self,
        ids: &[ConversationId],
        include_skills: bool,
    ) -> Result<Vec<Option<Listed>>, RuntimeError> {
        let mut listed: Vec<Option<Listed>> = vec![None; ids.len()];
        if !include_skills {
            let rests = |at: &usize| self.residency.cache.peek(ids[*at]).is_none();
            let places: Vec<usize> = (0..ids.len()).filter(rests).collect();
            let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
            let ready = self.state().store.infos(&wanted).await?;
            for (at, json) in places.into_iter().zip(ready) {
                listed[at] = json.map(Listed::Json);
            }
        }
        let places: Vec<usize> = (0..ids.len()).filter(|at| listed[*at].is_none()).collect();
        let wanted: Vec<ConversationId> = places.iter().map(|at| ids[*at]).collect();
        for (at, info) in places.into_iter().zip(self.infos(&wanted).await?) {
            let shown = |info: ConversationInfo| {
                if include_skills { info } else { info.listed() }
            };
            listed[at] = info.map(|info| Listed::Info(Box::new(shown(info))));
        }
        Ok(listed)
    }

    /// What the stored state says, if that is all there is: a log that may be longer, or a run that no
    /// actor knows of, is read and recovered on the way into memory.
    async fn stored_info(
        &self,
        metadata: &Metadata,
    ) -> Result<Option<ConversationInfo>, RuntimeError> {
        let id = metadata.id;
        let (true, Some(snapshot)) = (self.state().recovery.knows(id), &metadata.snapshot) else {
            return Ok(None);
        };
        let row = self.state().store.row(id).await?;
        let fits = row.is_some_and(|row| row.extent == snapshot.extent);
        let info = || ConversationInfo::at_rest(metadata, &self.state().config.folder(id));
        Ok(fits.then(info).flatten())
    }

    /// What the stored state says of a conversation that is yet to be recovered, under the status it is
    /// listed with.
    async fn postponed_info(
        &self,
        metadata: &Metadata,
    ) -> Result<Option<ConversationInfo>, RuntimeError> {
        if !self.state().recovery.postpones(metadata.id) {
            return Ok(None);
        }
        let Some(row) = self.state().store.row(metadata.id).await? else {
            return Ok(None);
        };
        let fresh = || ConversationState::new(metadata);
        let snapshot = metadata.snapshot.as_ref();
        let mut state = snapshot.map_or_else(fresh, |snapshot| snapshot.state.clone());
        state.execution_status = row.status;
        let folder = self.state().config.folder(metadata.id);
        Ok(Some(ConversationInfo::new(metadata, &state, &folder)))
    }

    /// One page of the list of conversations. Waits until the list is complete.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn search(
        &self,
        query: &ConversationQuery,
    ) -> Result<ConversationPage, RuntimeError> {
        let rows = ListQuery {
            status: query.status,
            first: query.page_id.as_ref().and_then(|id| id.parse().ok()),
            limit: query.limit,
            order: query.order,
        };
        let page = self.state().store.list(&rows).await?;
        let ids: Vec<ConversationId> = page.rows.iter().map(|row| row.id).collect();
        let items = self.listed(&ids, query.include_skills).await?;
        Ok(ConversationPage {
            items: items.into_iter().flatten().collect(),
            next_page_id: page.next.map(|id| id.hex()),
        })
    }

    /// How many conversations there are, of one status or in all. Waits until the list is complete.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count(&self, status: Option<ExecutionStatus>) -> Result<u64, RuntimeError> {
        Ok(self.state().store.count(status).await?)
    }
}
